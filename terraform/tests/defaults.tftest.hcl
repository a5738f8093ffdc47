# What is made when nothing but the registry's name is given. Every value of it is asserted here.
mock_provider "azurerm" {}

variables {
  acr_name = "demo"
}

run "defaults" {
  assert {
    condition = alltrue([
      azurerm_resource_group.this.name == "rg-oci-artifact-demo",
      azurerm_resource_group.this.location == "swedencentral",
    ])
    error_message = "resource group ${azurerm_resource_group.this.name} in ${azurerm_resource_group.this.location}"
  }

  assert {
    condition = alltrue([
      azurerm_container_registry.this.name == "demo",
      azurerm_container_registry.this.resource_group_name == "rg-oci-artifact-demo",
      azurerm_container_registry.this.location == "swedencentral",
      azurerm_container_registry.this.sku == "Standard",
      azurerm_container_registry.this.admin_enabled == false,
    ])
    error_message = "the registry is not Standard, without an admin user, in the resource group"
  }

  assert {
    condition = alltrue([
      azurerm_user_assigned_identity.cluster.name == "aks-oci-demo-cluster",
      azurerm_user_assigned_identity.kubelet.name == "aks-oci-demo-kubelet",
      azurerm_user_assigned_identity.cluster.location == "swedencentral",
      azurerm_user_assigned_identity.kubelet.location == "swedencentral",
      azurerm_user_assigned_identity.cluster.resource_group_name == "rg-oci-artifact-demo",
      azurerm_user_assigned_identity.kubelet.resource_group_name == "rg-oci-artifact-demo",
    ])
    error_message = "the identities of the cluster and of its kubelets"
  }

  assert {
    condition = alltrue([
      azurerm_role_assignment.kubelet_pulls.role_definition_name == "AcrPull",
      azurerm_role_assignment.kubelet_pulls.scope == azurerm_container_registry.this.id,
      azurerm_role_assignment.kubelet_pulls.principal_id == azurerm_user_assigned_identity.kubelet.principal_id,
      azurerm_role_assignment.kubelet_pulls.skip_service_principal_aad_check == true,
    ])
    error_message = "the kubelets' identity does not hold AcrPull on the registry"
  }

  assert {
    condition = alltrue([
      azurerm_role_assignment.cluster_assigns_kubelet.role_definition_name == "Managed Identity Operator",
      azurerm_role_assignment.cluster_assigns_kubelet.scope == azurerm_user_assigned_identity.kubelet.id,
      azurerm_role_assignment.cluster_assigns_kubelet.principal_id == azurerm_user_assigned_identity.cluster.principal_id,
      azurerm_role_assignment.cluster_assigns_kubelet.skip_service_principal_aad_check == true,
    ])
    error_message = "the control plane may not assign the kubelets' identity"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.name == "aks-oci-demo",
      azurerm_kubernetes_cluster.this.resource_group_name == "rg-oci-artifact-demo",
      azurerm_kubernetes_cluster.this.location == "swedencentral",
      azurerm_kubernetes_cluster.this.dns_prefix == "aks-oci-demo",
      azurerm_kubernetes_cluster.this.kubernetes_version == "1.36",
      azurerm_kubernetes_cluster.this.oidc_issuer_enabled == true,
      azurerm_kubernetes_cluster.this.workload_identity_enabled == true,
      azurerm_kubernetes_cluster.this.node_provisioning_profile[0].mode == "Manual",
    ])
    error_message = "the cluster ${azurerm_kubernetes_cluster.this.name}, Kubernetes ${azurerm_kubernetes_cluster.this.kubernetes_version}"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.default_node_pool[0].name == "system",
      azurerm_kubernetes_cluster.this.default_node_pool[0].node_count == 2,
      azurerm_kubernetes_cluster.this.default_node_pool[0].vm_size == "Standard_D2s_v3",
      azurerm_kubernetes_cluster.this.default_node_pool[0].os_sku == "AzureLinux",
      azurerm_kubernetes_cluster.this.default_node_pool[0].temporary_name_for_rotation == "systemtmp",
      azurerm_kubernetes_cluster.this.default_node_pool[0].upgrade_settings[0].max_surge == "1",
    ])
    error_message = "the system pool"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.identity[0].type == "UserAssigned",
      azurerm_kubernetes_cluster.this.identity[0].identity_ids == toset([azurerm_user_assigned_identity.cluster.id]),
      azurerm_kubernetes_cluster.this.kubelet_identity[0].client_id == azurerm_user_assigned_identity.kubelet.client_id,
      azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id == azurerm_user_assigned_identity.kubelet.principal_id,
      azurerm_kubernetes_cluster.this.kubelet_identity[0].user_assigned_identity_id == azurerm_user_assigned_identity.kubelet.id,
    ])
    error_message = "the cluster's identities"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.network_profile[0].network_plugin == "azure",
      azurerm_kubernetes_cluster.this.network_profile[0].network_plugin_mode == "overlay",
      azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium",
      azurerm_kubernetes_cluster.this.network_profile[0].network_data_plane == "cilium",
    ])
    error_message = "the cluster's network"
  }

  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.this) == 0
    error_message = "a node pool nobody asked for"
  }

  assert {
    condition = alltrue([for tags in [
      azurerm_resource_group.this.tags,
      azurerm_container_registry.this.tags,
      azurerm_user_assigned_identity.cluster.tags,
      azurerm_user_assigned_identity.kubelet.tags,
      azurerm_kubernetes_cluster.this.tags,
      azurerm_kubernetes_cluster.this.default_node_pool[0].tags,
    ] : tags == tomap({ project = "oci-artifact-demo", managed-by = "terraform" })])
    error_message = "something has other tags"
  }

  assert {
    condition = alltrue([
      output.resource_group_name == "rg-oci-artifact-demo",
      output.acr_name == "demo",
      output.acr_id == azurerm_container_registry.this.id,
      output.acr_login_server == azurerm_container_registry.this.login_server,
      output.aks_name == "aks-oci-demo",
      output.node_resource_group == azurerm_kubernetes_cluster.this.node_resource_group,
      output.node_pools == ["system"],
      output.kubernetes_version == azurerm_kubernetes_cluster.this.current_kubernetes_version,
      output.oidc_issuer_url == azurerm_kubernetes_cluster.this.oidc_issuer_url,
      output.kubelet_client_id == azurerm_user_assigned_identity.kubelet.client_id,
      output.kubelet_object_id == azurerm_user_assigned_identity.kubelet.principal_id,
      output.get_credentials == "az aks get-credentials --resource-group rg-oci-artifact-demo --name aks-oci-demo",
    ])
    error_message = "the outputs"
  }
}
